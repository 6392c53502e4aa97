/** What the table says while there is nothing in it: the next step, ready to copy. */
import { Button } from "../components/button";
import { experiment, stage, where } from "./state";

const CODE = `import gateway

with gateway.start_run("first"):
    gateway.emit("loss", 0.5, step=0)`;

export function NothingFound() {
  if (where.value !== "") {
    return (
      <div class="empty">
        <h1>No run matches this filter</h1>
        <p class="quiet">A comparison with a name that a run does not have is false. NaN matches no comparison.</p>
        <Button onClick={() => (where.value = "")}>Clear the filter</Button>
      </div>
    );
  }
  if (stage.value === "deleted") {
    return (
      <div class="empty">
        <h1>The trash is empty</h1>
        <Button onClick={() => (stage.value = "active")}>Back to the runs</Button>
      </div>
    );
  }
  return (
    <div class="empty">
      <h1>{experiment.value === null ? "No runs yet" : "No runs in this experiment yet"}</h1>
      <p>See the whole story with a real training:</p>
      <pre><code>gateway demo</code></pre>
      <p>or log from your own script:</p>
      <pre><code>{CODE}</code></pre>
      <p class="quiet">Runs show up here by themselves.</p>
    </div>
  );
}
