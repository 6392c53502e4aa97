export default function Page() {
  return <div class="empty"><h1>run</h1></div>;
}
