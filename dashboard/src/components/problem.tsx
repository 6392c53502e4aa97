/** What went wrong, in the API's words, with what to do next. */
import { ApiError } from "../api/errors";

export function Problem({ error }: { error: unknown }) {
  if (!error) return null;
  return (
    <div class="problem" role="alert">
      <strong>{error instanceof Error ? error.message : String(error)}</strong>
      {error instanceof ApiError && error.next && <p>{error.next}</p>}
    </div>
  );
}
