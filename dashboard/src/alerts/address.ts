/** What the address says about the page of alerts. */
import { field } from "../state/address";
import { choice, text } from "../state/codecs";

/** Which firings are shown. */
export const state = field("state", choice(["all", "firing", "resolved"] as const));
/** Id of the rule whose firings are shown; "": of all. */
export const rule = field("rule", text());
/** Id of the rule that is written; "": none is. */
export const editing = field("edit", text());
/** In `editing`: a new rule. No id begins like this. */
export const NEW = "/new";
