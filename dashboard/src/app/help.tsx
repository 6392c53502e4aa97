/** The sheet of keys, made from the commands that are offered now. */
import { signal } from "@preact/signals";
import { Dialog } from "../components/dialog";
import { commands } from "./commands";
import type { Command } from "./commands";
import { caps } from "./keyboard";

const isShown = signal(false);

/** Show the sheet. */
export function showHelp(): void {
  isShown.value = true;
}

export function Help() {
  if (!isShown.value) return null;
  return (
    <Dialog title="Keys" class="help" onClose={() => (isShown.value = false)}>
      <div class="help-sections">
        {sections(commands.value).map(([section, found]) => (
          <section key={section}>
            <h3>{section}</h3>
            <dl>
              {found.map((one) => (
                <div key={one.label}>
                  <dt>{one.label}</dt>
                  <dd>{(one.keys ?? []).map((keys, at) => <Keys key={keys} keys={keys} isOther={at > 0} />)}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}

function Keys({ keys, isOther }: { keys: string; isOther: boolean }) {
  return (
    <>
      {isOther && <span class="quiet"> or </span>}
      {caps(keys).map((cap, at) => <kbd key={at}>{cap}</kbd>)}
    </>
  );
}

/** Return the commands that have keys, by section, in the order in which the sections come. */
export function sections(found: readonly Command[]): [section: string, commands: Command[]][] {
  const groups = new Map<string, Command[]>();
  for (const one of found) {
    if (!one.keys?.length) continue;
    const section = one.section ?? "This page";
    groups.set(section, [...(groups.get(section) ?? []), one]);
  }
  return [...groups];
}
