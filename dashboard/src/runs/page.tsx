export default function Page() {
  return <div class="empty"><h1>runs</h1></div>;
}
