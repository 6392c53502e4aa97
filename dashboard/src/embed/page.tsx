/** Charts of many runs: being built. */
export default function Page() {
  return (
    <div class="empty">
      <h1>Chart</h1>
    </div>
  );
}
