import { expect, test } from "vitest";
import { pointsOf } from "./series_events";

const row = { run_id: "r", series: "loss{a=1}", name: "loss", step_name: "main", labels: { a: "1" }, attempt: 2, partition: 1, offset: 7, count: 2, columns: { steps: [1, 2], times: [10, 20], values: [0.5, "NaN"] } };

test("a row of a topic is an event of the log", () => {
  const [event] = pointsOf("series", JSON.stringify({ as_of: "1:8", series: [row] }));
  expect(event).toMatchObject({ run_id: "r", kind: "metrics", partition: 1, offset: 7, attempt: 2 });
  expect(event!.first_offset).toBeUndefined();
  expect(event!.series).toEqual([{ series: "loss{a=1}", name: "loss", labels: { a: "1" }, count: 2, left_out: 0, points: [[1, 10, 0.5], [2, 20, "NaN"]] }]);
});

test("a coalesced row says from where, and how many points it lacks", () => {
  const [event] = pointsOf("series", JSON.stringify({ as_of: "1:8", series: [{ ...row, first_offset: 3, left_out: 40 }] }));
  expect([event!.first_offset, event!.series![0]!.left_out]).toEqual([3, 40]);
});

test("runs to read again are events of their own", () => {
  const events = pointsOf("reread", JSON.stringify({ as_of: "0:4,1:8", run_ids: ["a", "b"] }));
  expect(events.map((one) => [one.run_id, one.kind, one.partition, one.offset])).toEqual([
    ["a", "reread", 0, 3], ["a", "reread", 1, 7], ["b", "reread", 0, 3], ["b", "reread", 1, 7],
  ]);
});
