// node-resque's Worker on the queues named on the command line. Ends when its standard input does, after its job.
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { Worker, connection, listen, say, sayError } from "./resque.mjs";

const jobs = {
  echo: async (...args) => args,
  breaks: async (message) => {
    throw new TypeError(message);
  },
  // Works for as long as the file is not there.
  waits: async (path) => {
    for (;;) {
      try {
        return await readFile(path, "utf8");
      } catch {
        await setTimeout(20);
      }
    }
  },
};

const queues = process.argv[2] === "*" ? "*" : process.argv[2].split(",");
const worker = new Worker({ connection: connection(), queues, timeout: 100 }, jobs);
worker.on("error", sayError);
worker.on("job", (queue, job) => say("job", { queue, job }));
worker.on("success", (queue, job, result) => say("success", { queue, job, result }));
worker.on("failure", (queue, job, failure) => say("failure", { queue, job, message: failure.message }));
worker.on("ping", (time) => say("ping", { time }));
await worker.connect();
await worker.start();
say("ready", { name: worker.name });

await listen(() => {});
await worker.end();
say("ended");
