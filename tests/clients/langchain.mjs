// What LangChain.js sees of each case: `langchain.mjs FOLDER URL via`, where via is direct or gateway.
//
// A line of JSON for each case: the chunks as they were read, and the error that ended them.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [modules, base, via] = process.argv.slice(2);
const require = createRequire(path.join(modules, "package.json"));
const { ChatOpenAI } = await import(pathToFileURL(require.resolve("@langchain/openai")).href);
const folder = path.dirname(fileURLToPath(import.meta.url));

for (const wanted of JSON.parse(fs.readFileSync(path.join(folder, "cases.json"), "utf8"))) {
  const replay = Object.entries(wanted.replay ?? {});
  const defaultHeaders = Object.fromEntries(replay.map(([name, value]) => [`x-replay-${name}`, value]));
  const model = new ChatOpenAI({
    model: (via === "gateway" && wanted.alias) || wanted.recording,
    n: wanted.n,
    streamUsage: wanted.usage ?? false,
    apiKey: "none",
    maxRetries: 0,
    timeout: 30_000,
    configuration: { baseURL: base + "/v1", defaultHeaders },
  });
  const chunks = [];
  let failure = null;
  try {
    for await (const chunk of await model.stream("Say it.")) {
      const { content, additional_kwargs, tool_call_chunks, usage_metadata, response_metadata } = chunk;
      chunks.push({ content, additional_kwargs, tool_call_chunks, usage_metadata, response_metadata });
    }
  } catch (error) {
    failure = { type: error.constructor.name, message: error.message, body: error.error ?? null };
  }
  console.log(JSON.stringify({ case: wanted, chunks, failure }));
}
