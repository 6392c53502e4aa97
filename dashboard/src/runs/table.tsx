/** The grid of runs: only the rows that can be seen are drawn. */
import type { VNode } from "preact";
import { useSignal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { colourOf } from "../charts/colours";
import type { Goal } from "../components/delta";
import { Icon } from "../components/icon";
import { count } from "../components/text";
import { useVirtual } from "../components/virtual";
import { isDark } from "../state/theme";
import { Cell, isNumeric } from "./cells";
import { inOrder, widthOf, writeKey } from "./columns";
import type { Column } from "./columns";
import { HeaderCell } from "./header_cell";
import type { Row } from "./rows";
import { allLines, lineAt, wantLines } from "./sections";
import type { Section } from "./sections";
import type { Sparks } from "./sparks";
import { baseline, columns, groupBy, known, selected, shut } from "./state";

export const ROW_HEIGHT = 28;
const SELECT_WIDTH = 56;
const OVERSCAN = 12;
const MOST_KEPT = 400; // views of lines

export interface TableProps {
  sections: readonly Section[];
  /** Number of the line that the keys act on. */
  cursor: Signal<number>;
  base: Row | null;
  goals: ReadonlyMap<string, Goal>;
  sparks: Sparks;
  onSelect: (line: number, event: { shiftKey: boolean }) => void;
  onOpen: (id: string) => void;
}

export function Table({ sections, cursor, base, goals, sparks, onSelect, onOpen }: TableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const resizing = useSignal<{ name: string; width: number } | null>(null);
  const lines = allLines(sections);
  const virtual = useVirtual({
    count: lines,
    estimateSize: () => ROW_HEIGHT,
    getScrollElement: () => scroller.current,
    overscan: OVERSCAN,
    paddingStart: ROW_HEIGHT + 2, // the head stays above the rows
    scrollPaddingStart: ROW_HEIGHT + 2,
  });
  const shown = virtual.getVirtualItems();
  const first = shown[0]?.index ?? 0;
  const last = shown.at(-1)?.index ?? 40;
  useEffect(() => wantLines(sections, first, last), [sections, first, last, lines]);
  useEffect(() => {
    if (cursor.value >= 0) virtual.scrollToIndex(cursor.value, { align: "auto" });
  }, [cursor.value]);

  const drawn = useMemo(
    () => inOrder(columns.value).map((one) => (resizing.value?.name === writeKey(one.key) ? { ...one, width: resizing.value.width } : one)),
    [columns.value, resizing.value],
  );
  const lefts = useMemo(() => stickyLefts(drawn), [drawn]);
  const views = useRef(new Map<number, Drawn>());
  const width = drawn.reduce((sum, one) => sum + widthOf(one), SELECT_WIDTH);
  const visible = shown.map((item) => ({ item, line: lineAt(sections, item.index) }));
  const sparked = drawn.filter((one) => one.key[0] === "spark").map((one) => one.key[1]);
  const ids = visible.flatMap(({ line }) => (line && line.index >= 0 ? line.section.rows.at(line.index)?.id ?? [] : []));
  useEffect(() => sparks.want(ids, sparked), [ids.join("\n"), sparked.join("\n"), sparks.version.value === 0]);

  return (
    <div class="grid-scroll" ref={scroller} id="runs">
      <div
        class="grid"
        role="grid"
        aria-label="runs"
        aria-rowcount={lines + 1}
        aria-colcount={drawn.length + 1}
        aria-activedescendant={cursor.value >= 0 ? `line-${cursor.value}` : undefined}
        aria-multiselectable="true"
        tabIndex={0}
        style={{ width: `${width}px`, height: `${virtual.getTotalSize()}px` }}
      >
        <div class="grid-row grid-head" role="row" aria-rowindex={1}>
          <span class="grid-cell grid-select" role="columnheader" aria-label="selected" style={{ width: `${SELECT_WIDTH}px` }} />
          {drawn.map((column, at) => (
            <HeaderCell key={writeKey(column.key)} column={column} left={lefts[at]} isNumeric={isNumeric(column.key, typesOf(column))} onResize={(next) => (resizing.value = next === null ? null : { name: writeKey(column.key), width: next })} />
          ))}
        </div>
        {visible.map(({ item, line }) => {
          if (!line) return null;
          const { section, index } = line;
          const shared = { drawn, lefts, base, goals, sparks };
          const props = { ...shared, number: item.index, top: item.start, section, index, row: section.rows.at(index), isCursor: item.index === cursor.value };
          return lineOnce(views.current, props, { onSelect, onOpen, onPoint: (number) => (cursor.value = number) });
        })}
      </div>
    </div>
  );
}

interface LineProps {
  number: number;
  top: number;
  section: Section;
  index: number;
  row: Row | undefined;
  drawn: readonly Column[];
  lefts: readonly (number | undefined)[];
  isCursor: boolean;
  base: Row | null;
  goals: ReadonlyMap<string, Goal>;
  sparks: Sparks;
}

interface Actions {
  onSelect: TableProps["onSelect"];
  onOpen: TableProps["onOpen"];
  onPoint: (line: number) => void;
}

interface Drawn {
  props: LineProps;
  actions: Actions;
  view: VNode;
}

/** Return the view of a line: the same as before while nothing of it has changed, so that scrolling draws new lines only. */
function lineOnce(views: Map<number, Drawn>, props: LineProps, actions: Actions): VNode {
  const before = views.get(props.number);
  if (before && (Object.keys(props) as (keyof LineProps)[]).every((name) => before.props[name] === props[name])) {
    Object.assign(before.actions, actions);
    return before.view;
  }
  const kept = { ...actions };
  const view = <LineView key={props.number} {...props} actions={kept} />;
  if (views.size > MOST_KEPT) views.clear();
  views.set(props.number, { props, actions: kept, view });
  return view;
}

function LineView({ actions, ...props }: LineProps & { actions: Actions }) {
  const { number, top, section, row, isCursor } = props;
  const common = { id: `line-${number}`, role: "row", "aria-rowindex": number + 2, style: { transform: `translateY(${top}px)` } } as const;
  if (props.index < 0) {
    return (
      <div {...common} class={`grid-row grid-group${isCursor ? " cursor" : ""}`}>
        <button type="button" class="grid-group-button" aria-expanded={section.isOpen} onClick={() => toggleGroup(section)}>
          <Icon name={section.isOpen ? "open" : "shut"} />
          <span class="quiet">{groupBy.value?.[1]}</span> <strong>{section.group || "no value"}</strong>
          <span class="quiet">{count(section.rows.total.value ?? section.runs)}</span>
        </button>
      </div>
    );
  }
  const isSelected = row !== undefined && selected.value.includes(row.id);
  const classes = `grid-row${isSelected ? " selected" : ""}${isCursor ? " cursor" : ""}${row?.id === baseline.value && row ? " base" : ""}`;
  return (
    <div {...common} class={classes} aria-selected={isSelected} data-run={row?.id} onDblClick={() => row && actions.onOpen(row.id)} onPointerDown={() => actions.onPoint(number)}>
      <span class="grid-cell grid-select" role="gridcell" style={{ width: `${SELECT_WIDTH}px` }}>
        <input type="checkbox" tabIndex={-1} checked={isSelected} disabled={!row} aria-label={`select ${String(row?.values["fact:name"] || row?.id || "")}`} onClick={(event) => actions.onSelect(number, event)} />
        {row && <span class="swatch" style={{ background: colourOf(row.id, isDark.value ? "dark" : "light") }} />}
      </span>
      {props.drawn.map((column, at) => (
        <span key={writeKey(column.key)} role="gridcell" data-column={writeKey(column.key)} class={cellClass(column, props.lefts[at])} style={cellStyle(column, props.lefts[at])}>
          {row && <Cell row={row} columnKey={column.key} base={props.base} goals={props.goals} sparks={props.sparks} />}
        </span>
      ))}
    </div>
  );
}

/** Open a group or shut it. */
export function toggleGroup(section: Section): void {
  const group = section.group ?? "";
  const now = shut.peek();
  shut.value = now.includes(group) ? now.filter((one) => one !== group) : [...now, group];
}

function typesOf(column: Column): readonly string[] {
  return known.value?.find((one) => writeKey(one.key) === writeKey(column.key))?.types ?? [];
}

function cellClass(column: Column, left: number | undefined): string {
  const [kind, name] = column.key;
  return `grid-cell${isNumeric(column.key, typesOf(column)) ? " num" : ""}${left === undefined ? "" : " pinned"}${kind === "fact" && name === "name" ? " name" : ""}`;
}

function cellStyle(column: Column, left: number | undefined): { width: string; left?: string } {
  return { width: `${widthOf(column)}px`, ...(left !== undefined && { left: `${left}px` }) };
}

/** Return where each pinned column sticks, in CSS pixels from the left; undefined for the others. */
export function stickyLefts(drawn: readonly Column[]): (number | undefined)[] {
  let left = SELECT_WIDTH;
  return drawn.map((column) => {
    if (!column.pinned) return undefined;
    const mine = left;
    left += widthOf(column);
    return mine;
  });
}
