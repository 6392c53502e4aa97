// A plot of ECharts that follows its options, its size and the theme.
import type { ECharts, EChartsCoreOption } from "echarts/core";
import { useEffect, useRef } from "preact/hooks";

export interface PlotProps {
  label: string;
  option: EChartsCoreOption;
  height: number;
  /** Called once for each plot, to listen to it. */
  onReady?: (plot: ECharts) => void;
}

export function Plot({ label, option, height, onReady }: PlotProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<ECharts | null>(null);
  const latest = useRef(option);
  latest.current = option;
  useEffect(() => {
    let isShown = true;
    const sizes = new ResizeObserver(() => plot.current?.resize());
    void import("./echarts").then(({ init }) => {
      if (!isShown || !host.current) return;
      plot.current = init(host.current);
      plot.current.setOption(latest.current);
      onReady?.(plot.current);
      sizes.observe(host.current);
    });
    return () => {
      isShown = false;
      sizes.disconnect();
      plot.current?.dispose();
      plot.current = null;
    };
  }, []);
  const written = JSON.stringify(option);
  useEffect(() => void plot.current?.setOption(latest.current, { notMerge: true }), [written]);
  return <div class="plot" ref={host} role="img" aria-label={label} style={{ height: `${height}px` }} />;
}
