// What a bundler does, as far as a deploy is concerned.
import { mkdirSync, writeFileSync } from "node:fs";

mkdirSync("../static", { recursive: true });
writeFileSync("../static/app.js", `console.log("${process.version}");\n`.padEnd(4000, "/"));
