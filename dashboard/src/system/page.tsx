export default function Page() {
  return <div class="empty"><h1>system</h1></div>;
}
