// ECharts, of which only these parts are bundled; a chunk of its own, loaded when a plot is first shown.
import { ParallelChart, ScatterChart } from "echarts/charts";
import { GridComponent, ParallelComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

use([ScatterChart, ParallelChart, GridComponent, ParallelComponent, TooltipComponent, CanvasRenderer]);

export { init };
