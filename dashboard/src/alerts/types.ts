/** Alerts, rules and mutes, as the API answers them. */
import type { Numeric } from "../api/types";
import type { RuleFields } from "./rule";

export interface Alert {
  alert_id: string;
  rule_id: string;
  version: number;
  name: string;
  severity: "info" | "warning" | "critical";
  state: "firing" | "resolved";
  run_id: string;
  series: string;
  fired: number;
  resolved: number | null;
  step: number | null;
  value: Numeric | null;
  message: string;
  resolution: string;
  muted: boolean;
}

export interface AlertsAnswer {
  alerts: Alert[];
  next_page_token: string | null;
}

export interface Rule extends RuleFields {
  version: number;
  author: string;
  updated: number;
}

/** A rule whose firings are stored and not sent. */
export interface Mute {
  rule_id: string;
  /** "": of every run. */
  run_id: string;
  /** µs; null: without end. */
  until: number | null;
}
