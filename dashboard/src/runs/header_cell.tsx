/** The head of a column: sorts, moves, resizes, by hand and by keyboard. */
import { useRef } from "preact/hooks";
import { Icon } from "../components/icon";
import { Menu } from "../components/menu";
import type { MenuItem } from "../components/menu";
import { clampWidth, isSortable, labelOf, moveBy, moveTo, nextSorts, readKey, sameKey, widthOf, withColumn, withPin, writeKey } from "./columns";
import type { Column } from "./columns";
import { columns, groupBy, known, setColumns, setGroup, sorts } from "./state";

const KEY_STEP = 16; // CSS pixels
const DRAGGED = "application/x-gateway-column";

export interface HeaderCellProps {
  column: Column;
  left: number | undefined;
  isNumeric: boolean;
  /** Called while the width is dragged, and with null at the end. */
  onResize: (width: number | null) => void;
}

export function HeaderCell({ column, left, isNumeric, onResize }: HeaderCellProps) {
  const { key } = column;
  const own = useRef<HTMLSpanElement>(null);
  const at = sorts.value.findIndex((one) => sameKey(one.key, key));
  const sort = sorts.value[at];
  const width = widthOf(column);
  const refocus = (): void => void requestAnimationFrame(() => document.querySelector<HTMLElement>(`[data-head="${CSS.escape(writeKey(key))}"]`)?.focus());
  const sortBy = (more: boolean): void => {
    if (isSortable(key)) sorts.value = nextSorts(sorts.value, key, more);
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.target !== own.current) return;
    const by = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
    if (event.altKey && by && event.shiftKey) setColumns(withColumn(columns.peek(), key, (one) => ({ ...one, width: clampWidth(width + by * KEY_STEP) })));
    else if (event.altKey && by) setColumns(moveBy(columns.peek(), key, by as -1 | 1));
    else if (event.key === "Enter" || event.key === " ") sortBy(event.shiftKey);
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (event.altKey) refocus();
  };
  const focusNext = (event: KeyboardEvent): void => {
    if (event.target !== own.current || event.altKey) return;
    const next = event.key === "ArrowLeft" ? own.current?.previousElementSibling : event.key === "ArrowRight" ? own.current?.nextElementSibling : null;
    if (next instanceof HTMLElement && next.dataset.head) {
      next.focus();
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const resize = (event: PointerEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    const handle = event.currentTarget as HTMLElement;
    const start = event.clientX;
    handle.setPointerCapture(event.pointerId);
    const move = (now: PointerEvent): void => onResize(clampWidth(width + now.clientX - start));
    const end = (now: PointerEvent): void => {
      handle.removeEventListener("pointermove", move);
      onResize(null);
      if (now.type === "pointerup" && now.clientX !== start) setColumns(withColumn(columns.peek(), key, (one) => ({ ...one, width: clampWidth(width + now.clientX - start) })));
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", end, { once: true });
    handle.addEventListener("pointercancel", end, { once: true });
  };
  return (
    <span
      ref={own}
      class={`grid-cell grid-head-cell${isNumeric ? " num" : ""}${left === undefined ? "" : " pinned"}`}
      role="columnheader"
      data-head={writeKey(key)}
      aria-sort={sort ? (sort.descending ? "descending" : "ascending") : "none"}
      tabIndex={0}
      title={`${writeKey(key)}\nclick: sort, shift: by several, drag or Alt+arrows: move, Alt+Shift+arrows: width`}
      style={{ width: `${width}px`, ...(left !== undefined && { left: `${left}px` }) }}
      draggable
      onDragStart={(event) => event.dataTransfer?.setData(DRAGGED, writeKey(key))}
      onDragOver={(event) => event.dataTransfer?.types.includes(DRAGGED) && event.preventDefault()}
      onDrop={(event) => {
        const moved = readKey(event.dataTransfer?.getData(DRAGGED) ?? "");
        if (moved) setColumns(moveTo(columns.peek(), moved, key));
      }}
      onKeyDown={(event) => {
        focusNext(event);
        if (!event.defaultPrevented) keys(event);
      }}
      onClick={(event) => event.target instanceof Element && !event.target.closest(".menu, .grid-resize") && sortBy(event.shiftKey)}
    >
      {key[0] === "spark" && <Icon name="chart" />}
      <span class="cut">{labelOf(key)}</span>
      {sort && (
        <span class="sort-mark">
          <Icon name={sort.descending ? "down" : "up"} />
          {sorts.value.length > 1 && at + 1}
        </span>
      )}
      <Menu icon="more" title={`Column ${labelOf(key)}`} class="grid-head-menu" items={() => itemsOf(column)} />
      <span class="grid-resize" onPointerDown={resize} onClick={(event) => event.stopPropagation()} draggable onDragStart={(event) => event.preventDefault()} />
    </span>
  );
}

function itemsOf(column: Column): MenuItem[] {
  const { key } = column;
  const [kind, name] = key;
  const isGrouped = groupBy.peek() !== null && sameKey(groupBy.peek() ?? key, key);
  const sort = (descending: boolean): MenuItem => ({ label: descending ? "Sort descending" : "Sort ascending", icon: descending ? "down" : "up", run: () => (sorts.value = [{ key, descending }]) });
  const isStructure = known.peek()?.some((one) => sameKey(one.key, key) && one.types.includes("json"));
  const canGroup = (kind === "param" && !isStructure) || kind === "tag" || (kind === "fact" && ["state", "experiment", "group", "tag", "name"].includes(name));
  const add = (which: string, label: string): MenuItem => ({ label, icon: "columns", run: () => setColumns(insertAfter(column, { key: which === "spark" ? ["spark", name] : ["metric", name, which] })) });
  return [
    ...(isSortable(key) ? [sort(false), sort(true)] : []),
    { label: column.pinned ? "Unpin" : "Pin to the left", icon: "pin", run: () => setColumns(withColumn(columns.peek(), key, (one) => withPin(one, !one.pinned))) },
    { label: "Hide", icon: "hide", run: () => setColumns(columns.peek().filter((one) => !sameKey(one.key, key))) },
    { label: "Move left", icon: "left", run: () => setColumns(moveBy(columns.peek(), key, -1)) },
    { label: "Move right", icon: "right", run: () => setColumns(moveBy(columns.peek(), key, 1)) },
    ...(canGroup ? [{ label: isGrouped ? "Do not group" : "Group by it", icon: "group" as const, run: () => setGroup(isGrouped ? null : key) }] : []),
    ...(kind === "metric" && key[2] === undefined ? [add("spark", "Add its small chart"), add("min", "Add its minimum"), add("max", "Add its maximum")] : []),
  ];
}

function insertAfter(column: Column, added: Column): Column[] {
  const now = columns.peek().filter((one) => !sameKey(one.key, added.key));
  const at = now.findIndex((one) => sameKey(one.key, column.key));
  return [...now.slice(0, at + 1), column.pinned ? withPin(added, true) : added, ...now.slice(at + 1)];
}
