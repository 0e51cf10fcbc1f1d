// The events that parsers from npm read: `events.mjs FOLDER < STREAMS`, where FOLDER has the packages.
//
// A stream is a line of JSON: its name, file, and last event ID to begin with. Each parser reads it whole and
// in pieces. A line of JSON is printed for each result; one in pieces only if it isn't that of the whole.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const modules = path.resolve(process.argv[2]);
const SIZES = [1, 7, 61];
const folder = path.join(modules, "node_modules");
const { createParser } = await import(pathToFileURL(path.join(folder, "eventsource-parser/dist/index.js")).href);
const require = createRequire(path.join(modules, "package.json"));
const { getLines, getMessages } = require("@microsoft/fetch-event-source/lib/cjs/parse.js");

// Each returns a function that reads a piece, and null for the end. `seen` has the state of an EventSource.
const parsers = {
  "eventsource-parser": (seen) => {
    // The parser itself looks for the byte order mark.
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const parser = createParser({
      onEvent: ({ event, data }) => dispatch(seen, event, data),
      onId: (id) => (seen.end.last_event_id = id),
      onRetry: (time) => (seen.end.reconnection_time = time),
    });
    return (piece) => parser.feed(piece ? decoder.decode(piece, { stream: true }) : decoder.decode());
  },
  "fetch-event-source": (seen) => {
    const onMessage = ({ event, data }) => data !== "" && dispatch(seen, event, data);
    const onId = (id) => (seen.end.last_event_id = id);
    const onRetry = (time) => (seen.end.reconnection_time = time);
    const onPiece = getLines(getMessages(onId, onRetry, onMessage));
    return (piece) => piece && onPiece(piece);
  },
};

function dispatch(seen, event, data) {
  const { last_event_id: id, reconnection_time: retry } = seen.end;
  seen.events.push({ event: event || "message", data, id, retry });
}

function read(parser, bytes, id, size) {
  const seen = { events: [], end: { last_event_id: id, reconnection_time: null } };
  const feed = parsers[parser](seen);
  for (let at = 0; at < bytes.length; at += size) feed(bytes.subarray(at, at + size));
  feed(null);
  return seen;
}

for (const line of fs.readFileSync(0, "utf8").trim().split("\n")) {
  const { name, file, last_event_id: id } = JSON.parse(line);
  const bytes = new Uint8Array(fs.readFileSync(file));
  for (const parser of Object.keys(parsers)) {
    const whole = JSON.stringify(read(parser, bytes, id, bytes.length || 1));
    console.log(`{"name":${JSON.stringify(name)},"parser":"${parser}","size":0,"seen":${whole}}`);
    for (const size of SIZES) {
      const cut = JSON.stringify(read(parser, bytes, id, size));
      if (cut === whole) continue;
      console.log(`{"name":${JSON.stringify(name)},"parser":"${parser}","size":${size},"seen":${cut}}`);
    }
  }
}
