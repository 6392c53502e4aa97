/** The answer to an address that names no page. */
export function NotFound() {
  return (
    <div class="empty">
      <h1>No such page</h1>
      <p>
        <a href="/">The list of runs</a> has everything that was recorded.
      </p>
    </div>
  );
}
