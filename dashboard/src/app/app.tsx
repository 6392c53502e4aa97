// The frame around every page.
export function App() {
  return <main>tracking-gateway</main>;
}
