// What a bundler does, as far as a deploy is concerned.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

mkdirSync("../static", { recursive: true });
writeFileSync("../static/app.js", `console.log("${process.version}, ${cpus().length} CPUs");\n`.padEnd(4000, "/"));
