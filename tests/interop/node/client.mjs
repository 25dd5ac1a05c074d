// node-resque's Queue, driven by lines: {"call": METHOD, "args": [...]} is answered by {"event": "answer", "value": ...}.
import { Queue, connection, listen, say, sayError } from "./resque.mjs";

const queue = new Queue({ connection: connection() });
queue.on("error", sayError);
await queue.connect();
say("ready");

await listen(async ({ call, args }) => {
  try {
    say("answer", { value: await queue[call](...args) });
  } catch (error) {
    say("raised", { message: String(error?.message ?? error) });
  }
});
await queue.end();
