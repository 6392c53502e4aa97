/** Charts of many runs: being built. */
export default function Page() {
  return (
    <div class="empty">
      <h1>Workspace</h1>
    </div>
  );
}
