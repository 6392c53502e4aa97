/** Draw only the rows that can be seen: TanStack's virtual core as a hook. */
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";
import type { VirtualizerOptions } from "@tanstack/virtual-core";
import { useLayoutEffect, useReducer, useRef } from "preact/hooks";

type Own = "observeElementRect" | "observeElementOffset" | "scrollToFn" | "onChange";
type Options = Omit<VirtualizerOptions<HTMLElement, HTMLElement>, Own>;

/** Return a virtualizer that draws its component again whenever other rows come into view. */
export function useVirtual(options: Options): Virtualizer<HTMLElement, HTMLElement> {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const whole: VirtualizerOptions<HTMLElement, HTMLElement> = {
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    ...options,
    onChange: () => draw(undefined),
  };
  const own = useRef<Virtualizer<HTMLElement, HTMLElement> | null>(null);
  own.current ??= new Virtualizer(whole);
  own.current.setOptions(whole);
  const virtual = own.current;
  useLayoutEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  return virtual;
}
