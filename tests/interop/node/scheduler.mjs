// node-resque's Scheduler: what is due goes to its queue, and workers that said nothing for MILLISECONDS are cleaned away.
import { Scheduler, connection, listen, say, sayError } from "./resque.mjs";

const scheduler = new Scheduler({
  connection: connection(),
  timeout: 50,
  stuckWorkerTimeout: Number(process.argv[2]),
});
scheduler.on("error", sayError);
scheduler.on("poll", () => say("poll"));
scheduler.on("transferredJob", (timestamp, job) => say("transferred", { job }));
scheduler.on("cleanStuckWorker", (name, entry) => say("cleaned", { name, entry }));
await scheduler.connect();
await scheduler.start();
say("ready");

await listen(() => {});
await scheduler.end();
say("ended");
