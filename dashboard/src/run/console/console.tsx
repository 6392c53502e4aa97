/** The console of a run: only lines in view are drawn; it follows its end, is searched, and leads to the charts. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { paced } from "../../api/paced";
import { useCommands } from "../../app/commands";
import { Button } from "../../components/button";
import { Problem } from "../../components/problem";
import { count, moment } from "../../components/text";
import { useVirtual } from "../../components/virtual";
import { change } from "../../state/address";
import { AT, IS_REGEX, openCharts, openConsole, SEARCH, STREAM } from "../address";
import type { RunData } from "../data";
import { ConsoleLines, lineAtTime, parts, plainText } from "./lines";
import type { Line, Wanted } from "./lines";

const LINE_HEIGHT = 18;
const EDGE = 40; // lines from an end at which the next page is read
const TYPING_MS = 250;
const LIVE_MS = 300;

export function Console({ runId, data, isOver }: { runId: string; data: RunData; isOver: boolean }) {
  const wanted: Wanted = { search: SEARCH.value, isRegex: IS_REGEX.value, stream: STREAM.value, at: AT.value };
  const key = JSON.stringify([runId, wanted]);
  const console = useMemo(() => new ConsoleLines(runId, wanted), [key]);
  const isFollowing = useSignal(!wanted.at);
  const scroller = useRef<HTMLDivElement>(null);
  const lines = console.lines.value;
  const virtual = useVirtual({ count: lines.length, estimateSize: () => LINE_HEIGHT, getScrollElement: () => scroller.current, overscan: 30 });
  const marked = wanted.at && lines.length ? lineAtTime(lines, wanted.at) : -1;
  const lastTop = useRef(0);

  useEffect(() => {
    isFollowing.value = !wanted.at;
    void console.begin().then(() => {
      const all = console.lines.peek();
      if (wanted.at && all.length) requestAnimationFrame(() => scroller.current?.scrollTo(0, Math.max(0, lineAtTime(all, wanted.at) * LINE_HEIGHT - scroller.current.clientHeight / 2)));
    });
    return () => console.stop();
  }, [console]);

  const live = useMemo(() => paced(() => console.after(data.news.peek().newest), LIVE_MS), [console]);
  useEffect(() => live.stop, [live]);
  useSignalEffect(() => {
    if (data.news.value.kinds.text) live.ask();
  });

  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box) return;
    if (console.prepended) {
      box.scrollTop += console.prepended * LINE_HEIGHT;
      console.prepended = 0;
    }
    if (isFollowing.value) box.scrollTop = box.scrollHeight;
  }, [lines, isFollowing.value]);

  const shown = virtual.getVirtualItems();
  const [first, last] = [shown[0]?.index ?? 0, shown.at(-1)?.index ?? 0];
  useEffect(() => {
    if (!lines.length) return;
    if (first < EDGE && console.hasPrevious.value) void console.before();
    else if (last > lines.length - EDGE && console.hasNext.value) void console.after();
  }, [first, last, lines, console.hasPrevious.value, console.hasNext.value]);

  const onScroll = (): void => {
    const box = scroller.current!;
    const isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - LINE_HEIGHT;
    if (box.scrollTop < lastTop.current && !isAtEnd) isFollowing.value = false;
    else if (isAtEnd && !console.hasNext.peek()) isFollowing.value = true;
    lastTop.current = box.scrollTop;
  };
  const toEnd = (): void => {
    isFollowing.value = true;
    if (AT.peek()) AT.value = 0;
  };
  useCommands(
    () => [
      { label: "Search the console", keys: ["/"], section: "Console", run: () => document.getElementById("console-search")?.focus() },
      { label: "Follow the end of the console", keys: ["shift+g", "e"], section: "Console", run: toEnd },
    ],
    [console],
  );
  return (
    <section class="card console-card" aria-label="Console">
      <Tools isFollowing={isFollowing.value} onFollow={() => (isFollowing.value ? (isFollowing.value = false) : toEnd())} />
      {wanted.at > 0 && (
        <p class="console-at">
          Around {moment(wanted.at)}
          <Button kind="bare" icon="chart" onClick={() => openCharts(wanted.at)}>Mark this time in the charts</Button>
          <Button kind="bare" icon="close" onClick={toEnd}>To the end</Button>
        </p>
      )}
      <Problem error={console.problem.value} />
      <div class="console-lines" ref={scroller} onScroll={onScroll} tabIndex={0} role="log" aria-label="Lines of the console" aria-live="off" data-lines={lines.length} data-following={isFollowing.value}>
        <div class="console-inner" style={{ height: `${virtual.getTotalSize()}px` }}>
          {shown.map((item) => (
            <LineOf key={lines[item.index]!.at} line={lines[item.index]!} top={item.start} wanted={wanted} isMarked={item.index === marked} />
          ))}
        </div>
        {console.isReady.value && !lines.length && <p class="empty-note">{wanted.search || wanted.stream ? "No line matches." : isOver ? "This run wrote no line." : "No line yet: they appear here as they come."}</p>}
      </div>
      <p class="console-foot quiet">
        {count(lines.length)} lines here{console.hasPrevious.value ? ", more above" : ""}{console.hasNext.value ? ", more below" : ""}
      </p>
    </section>
  );
}

function Tools({ isFollowing, onFollow }: { isFollowing: boolean; onFollow: () => void }) {
  // What is typed is in the box at once and in the address a moment later; what the address says otherwise wins.
  const [text, setText] = useState(SEARCH.value);
  const sent = useRef(SEARCH.value);
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (SEARCH.value !== sent.current) setText((sent.current = SEARCH.value));
  }, [SEARCH.value]);
  useEffect(() => () => clearTimeout(typing.current), []);
  const search = (next: string): void => {
    setText(next);
    clearTimeout(typing.current);
    typing.current = setTimeout(() => {
      sent.current = next;
      change([SEARCH.written(next), AT.written(0)], { replace: true });
    }, TYPING_MS);
  };
  return (
    <div class="card-head console-tools" role="toolbar" aria-label="Console">
      <input id="console-search" type="search" placeholder={IS_REGEX.value ? "Regular expression" : "Search lines"} aria-label="Search lines" value={text} onInput={(event) => search(event.currentTarget.value)} />
      <label><input type="checkbox" checked={IS_REGEX.value} onChange={(event) => (IS_REGEX.value = event.currentTarget.checked)} /> regex</label>
      <select aria-label="Stream" value={STREAM.value} onChange={(event) => (STREAM.value = event.currentTarget.value)}>
        <option value="">all streams</option>
        <option value="stdout">stdout</option>
        <option value="stderr">stderr</option>
        <option value="log">log</option>
      </select>
      <Button class="push" icon={isFollowing ? "pause" : "down"} pressed={isFollowing} onClick={onFollow} title="Follow the end (e)">Follow</Button>
    </div>
  );
}

interface LineProps {
  line: Line;
  top: number;
  wanted: Wanted;
  isMarked: boolean;
}

function LineOf({ line, top, wanted, isMarked }: LineProps) {
  return (
    <div class={`console-line ${line.stream}${isMarked ? " marked" : ""}`} style={{ transform: `translateY(${top}px)` }} data-at={line.at} data-marked={isMarked || undefined}>
      <button type="button" class="console-time" title={wanted.search ? "Show the lines around this one" : "Mark this time in the charts"} onClick={() => (wanted.search ? openConsole(line.time) : openCharts(line.time))}>
        {moment(line.time).slice(11)}
      </button>
      {line.stream !== "stdout" && <span class="console-stream">{line.stream}</span>}
      <span class="console-text">
        {parts(plainText(line.line), wanted).map((part, at) => (at % 2 ? <mark key={at}>{part}</mark> : part))}
        {line.cut && <span class="quiet"> … cut</span>}
      </span>
    </div>
  );
}
