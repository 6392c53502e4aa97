/** Icons, drawn here: 16 by 16, strokes in the colour of the text around them. */
const PATHS = {
  runs: "M2.5 4h11M2.5 8h11M2.5 12h7",
  chart: "M2 12.5 6 8l3 2.5L14 4M2 14.5h12",
  compare: "M5.5 2v12M10.5 2v12M2 5.5h3.5M10.5 10.5H14",
  bell: "M4 11V7a4 4 0 0 1 8 0v4l1.5 1.5h-11L4 11M6.5 14.5h3",
  system: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.7 10.7 14 14",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7",
  half: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2v12M10 3v10M12 5v6",
  help: "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13M6 6.2A2 2 0 1 1 8 8.5v1M8 11.5h.01",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  columns: "M2 3h12v10H2zM6 3v10M10 3v10",
  pin: "M9.5 2 14 6.5l-2 .5-2.5 2.5-.5 3L6 9.5l-3.5 4L6.500 9.500 3.500 7l3-.5L9 4z",
  eye: "M1.5 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4",
  hide: "M2 2l12 12M4 5C2.500 6.300 1.500 8 1.500 8S4 12.500 8 12.500c1 0 2-.3 2.800-.7M7 3.600c.3-.1.7-.1 1-.1 4 0 6.500 4.500 6.500 4.500s-.6 1-1.600 2.100",
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  left: "M13 8H3M7 4 3 8l4 4",
  right: "M3 8h10M9 4l4 4-4 4",
  open: "M3.500 6 8 10.500 12.500 6",
  shut: "M6 3.500 10.500 8 6 12.500",
  more: "M2.800 8h.400M7.800 8h.400M12.800 8h.400",
  menu: "M2 4h12M2 8h12M2 12h12",
  trash: "M2.500 4h11M6 4V2.500h4V4M4 4l.7 9.500h6.600L12 4M6.700 6.500v4.500M9.300 6.500v4.500",
  restore: "M3 3v4h4M3.500 7A5.500 5.500 0 1 1 3 10",
  tag: "M2 2h6l6 6-6 6-6-6zM5 5h.01",
  link: "M6.500 9.500a3 3 0 0 0 4.200 0l2.100-2.100a3 3 0 0 0-4.200-4.200L7.500 4.300M9.500 6.500a3 3 0 0 0-4.200 0L3.200 8.600a3 3 0 0 0 4.200 4.200l1.100-1.100",
  download: "M8 2v8M4.500 7 8 10.500 11.500 7M2.500 13.500h11",
  check: "M3 8.500 6.500 12 13 4",
  warning: "M8 2 14.500 13.500h-13zM8 6.500v3M8 11.500h.01",
  info: "M8 14.500a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13M8 7.500v4M8 5h.01",
  group: "M2 3h5v5H2zM9 3h5M9 6h5M2 11h12M2 14h12",
  save: "M3 2h8l2 2v10H3zM5.500 2v4h5V2M5.500 14V9.500h5V14",
  star: "M8 1.500l2 4.200 4.500.6-3.300 3.200.8 4.500L8 11.800 4 14l.8-4.500L1.500 6.300 6 5.700z",
  undo: "M5.500 3 2.500 6l3 3M2.500 6H10a3.500 3.500 0 0 1 0 7H6",
  redo: "M10.500 3l3 3-3 3M13.500 6H6a3.500 3.500 0 0 0 0 7h4",
  zoom: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10M10.700 10.700 14 14M7 5v4M5 7h4",
  full: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  settings: "M3 4h4M11 4h2M9 2.500v3M3 8h1M8 8h5M6 6.500v3M3 12h6M13 12h0M11 10.500v3",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  play: "M5 3l8 5-8 5z",
  pause: "M5.500 3v10M10.500 3v10",
  edit: "M3 13l.7-3 6.500-6.500 2.300 2.300L6 12.300zM9 5l2.300 2.300",
  grip: "M6 4h.01M6 8h.01M6 12h.01M10 4h.01M10 8h.01M10 12h.01",
} as const;

export type IconName = keyof typeof PATHS;

/** An icon; give `label` where it stands alone. */
export function Icon({ name, label }: { name: IconName; label?: string }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden={label ? undefined : "true"} role={label ? "img" : undefined} aria-label={label}>
      <path d={PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
