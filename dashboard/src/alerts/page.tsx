export default function Page() {
  return <div class="empty"><h1>alerts</h1></div>;
}
