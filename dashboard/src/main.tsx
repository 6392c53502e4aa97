// Entry of the dashboard: the page that the address names.
import { render } from "preact";
import { App } from "./app/app";
import { startKeyboard } from "./app/keyboard";
import { startLinks } from "./app/links";
import { startAddress } from "./state/address";
import { startTheme } from "./state/theme";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/components.css";

startTheme();
startAddress();
startLinks();
startKeyboard();
render(<App />, document.getElementById("app") as HTMLElement);
