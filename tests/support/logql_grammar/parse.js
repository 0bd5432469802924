// Reads a JSON list of LogQL expressions; writes, for each, where Grafana's grammar finds an error (-1: nowhere).
import { readFileSync } from "node:fs";
import { parser } from "@grafana/lezer-logql";

const firstError = (expression) => {
  let at = -1;
  parser.parse(expression).iterate({
    enter: (node) => {
      if (node.type.isError && at < 0) at = node.from;
    },
  });
  return at;
};

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(firstError)));
