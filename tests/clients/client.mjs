// What openai for Node sees of each case: `client.mjs FOLDER URL via`, where via is direct or gateway.
//
// A line of JSON for each case: the chunks as they were read, and the error that ended them.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [modules, base, via] = process.argv.slice(2);
const require = createRequire(path.join(modules, "package.json"));
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")).href);
const folder = path.dirname(fileURLToPath(import.meta.url));
const client = new OpenAI({ baseURL: base + "/v1", apiKey: "none", maxRetries: 0, timeout: 30_000 });

for (const wanted of JSON.parse(fs.readFileSync(path.join(folder, "cases.json"), "utf8"))) {
  const request = {
    model: (via === "gateway" && wanted.alias) || wanted.recording,
    messages: [{ role: "user", content: "Say it." }],
    stream: true,
  };
  if (wanted.n) request.n = wanted.n;
  if (wanted.usage) request.stream_options = { include_usage: true };
  const replay = Object.entries(wanted.replay ?? {});
  const headers = Object.fromEntries(replay.map(([name, value]) => [`x-replay-${name}`, value]));
  const chunks = [];
  let failure = null;
  try {
    for await (const chunk of await client.chat.completions.create(request, { headers })) {
      chunks.push(chunk);
    }
  } catch (error) {
    failure = { type: error.constructor.name, message: error.message, body: error.error ?? null };
  }
  console.log(JSON.stringify({ case: wanted, chunks, failure }));
}
