import { expect, test } from "vitest";
import { Delays } from "./delay";

function at(ms: number) {
  const clock = { ms };
  return { clock, delays: new Delays(() => clock.ms) };
}

test("the delay of a chart is that of its oldest point that was not drawn", () => {
  const { clock, delays } = at(1_000_000);
  delays.arrived("loss", 999_900_000);
  delays.arrived("loss", 999_950_000);
  clock.ms += 100;
  delays.drawn("loss");
  expect(delays.shown.value).toEqual({ p50: 200, p99: 200, count: 1 });
});

test("what is drawn again, left the screen, or was imported counts as nothing", () => {
  const { delays } = at(1_000_000);
  delays.drawn("loss");
  delays.arrived("loss", 999_900_000);
  delays.forget("loss");
  delays.drawn("loss");
  delays.arrived("loss", 1_000_000);
  delays.drawn("loss");
  expect(delays.shown.value).toBeNull();
});

test("a clock that is behind gives no negative delay", () => {
  const { delays } = at(1_000_000);
  delays.arrived("loss", 1_000_500_000);
  delays.drawn("loss");
  expect(delays.shown.value?.p50).toBe(0);
});
