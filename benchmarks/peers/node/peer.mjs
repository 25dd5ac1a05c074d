// node-resque as benchmarks/peers/producing.py has the others: rate, fill, trickle COUNT; and `worker`.
import { createRequire } from "node:module";
import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

const { Queue, Worker } = createRequire(process.env.NODE_PACKAGES + "/")("node-resque");
const connection = { host: "127.0.0.1", port: Number(process.env.BENCH_PORT), namespace: "resque" };
const notes = process.env.TASKQ_BENCH_NOTES;
const now = () => Number(process.hrtime.bigint()) / 1e9; // the monotonic clock, as Python's

const jobs = {
  nothing: async (number, last) => {
    if (number === 0 || number === last) appendFileSync(notes, `${number} ${now()}\n`);
  },
  started: async (pushed) => appendFileSync(notes, `${now() - pushed}\n`),
};

const [which, words] = process.argv.slice(2);
const count = Number(words);
if (which === "worker") {
  const worker = new Worker({ connection, queues: ["bench"], timeout: 10 }, jobs);
  worker.on("error", (error) => console.error(error));
  await worker.connect();
  await worker.start();
  process.on("SIGTERM", async () => {
    await worker.end();
    process.exit(0);
  });
} else {
  const queue = new Queue({ connection }, jobs);
  await queue.connect();
  if (which === "trickle") {
    for (let number = 0; number < count; number++) {
      await queue.enqueue("bench", "started", [now()]);
      while (readFileSync(notes, "utf8").split("\n").length - 1 <= number) await setTimeout(1);
      await setTimeout(20 + 30 * Math.random());
    }
  } else {
    const warm = which === "rate" ? 50 : 0;
    for (let number = -warm; number < 0; number++) await queue.enqueue("bench", "nothing", [number, count - 1]);
    const began = performance.now();
    for (let number = 0; number < count; number++) await queue.enqueue("bench", "nothing", [number, count - 1]);
    if (which === "rate") console.log((1000 * count) / (performance.now() - began));
  }
  await queue.end();
}
