// The tab "iTwin run" of a task instance.

import { follow } from "./follow.js";
import { component } from "./mount.js";

// Airflow finds the loaded component by this name.
globalThis["iTwin run"] = component("itwin-run", ["tab.css"], follow);
