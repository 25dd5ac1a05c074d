// node-resque, from where it was installed (outside of this tree), and the lines that these programs speak in.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(process.env.NODE_PACKAGES + "/");
export const { Queue, Scheduler, Worker } = require("node-resque");
export const Redis = require("ioredis");

export const connection = () => ({
  host: "127.0.0.1",
  port: Number(process.env.REDIS_PORT),
  namespace: "resque",
});

// One JSON object a line: {"event": NAME, ...}. What is undefined is left out.
export function say(event, facts = {}) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + "\n");
}

// node-resque's errors are Error objects, and sometimes plain strings.
export const sayError = (error) => say("error", { message: String(error?.message ?? error) });

// Calls `hear` with each line's JSON, one after another; resolves when standard input ends.
export async function listen(hear) {
  for await (const line of createInterface({ input: process.stdin })) {
    await hear(JSON.parse(line));
  }
}
