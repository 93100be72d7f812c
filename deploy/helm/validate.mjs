// Holds the objects of Kubernetes on standard input (YAML) to the schemas of their kinds, as the npm package
// kubernetes-models has them. Run by try-chart.sh.
import { text } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';

let wrong = 0;
const seen = [];
for (const document of parseAllDocuments(await text(process.stdin))) {
  for (const error of document.errors) throw error;
  const object = document.toJS();
  if (object === null) continue;
  const { apiVersion, kind } = object;
  seen.push(`${kind} ${object.metadata.name}`);
  // Not of Kubernetes itself.
  if (apiVersion === 'monitoring.coreos.com/v1') continue;
  const models = await import(`kubernetes-models/${apiVersion.includes('/') ? apiVersion : `v1`}`);
  try {
    new models[kind](object).validate();
  } catch (error) {
    wrong++;
    console.error(`${kind} ${object.metadata.name}: ${error.message}`);
  }
}
console.log(seen.join(', '));
if (seen.length === 0 || wrong > 0) process.exit(1);
