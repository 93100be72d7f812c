/** Makes what every first start on a new data folder needs, once for the installation. Run by `scripts/setup.sh`. */
import { makeTemplate } from '../src/store/template.ts';

await makeTemplate();
