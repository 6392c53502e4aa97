/** The page that asks for a token and begins a session. */
import { useState } from "preact/hooks";
import { login } from "../api/session";
import { Button } from "../components/button";
import { Problem } from "../components/problem";
import { go } from "../state/address";

export default function LoginPage() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await login(token);
      go(target(), { replace: true });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="login card" onSubmit={(event) => void send(event)}>
      <img src="/static/icon.svg" alt="" width="40" height="40" />
      <h1>tracking-gateway</h1>
      <label>
        Token
        <input type="password" autocomplete="current-password" value={token} autofocus required onInput={(event) => setToken(event.currentTarget.value)} />
      </label>
      <Problem error={error} />
      <Button kind="main" type="submit" disabled={isBusy || token === ""}>Log in</Button>
      <p class="quiet">
        <code>gateway tokens create NAME --scope read</code> makes one.
      </p>
    </form>
  );
}

/** Where the person wanted to go: an address of this server only. */
function target(): string {
  const to = new URLSearchParams(location.search).get("to") ?? "/";
  return to.startsWith("/") && !to.startsWith("//") && !to.includes("\\") ? to : "/";
}
