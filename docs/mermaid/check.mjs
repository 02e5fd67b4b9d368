// Parses the Mermaid diagrams of Markdown pages with Mermaid's own parser:
//
//	node check.mjs PAGE…
//
// Prints how many diagrams it has read. A diagram that Mermaid cannot parse is named with page and line on standard error,
// and the exit status is 1.
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {runInThisContext} from 'node:vm';
import {Window} from 'happy-dom';

// Mermaid is made for browsers: one script that sets a global, and its labels are cleaned with a window's document.
globalThis.window = new Window();
globalThis.document = window.document;
runInThisContext(readFileSync(createRequire(import.meta.url).resolve('@mermaid-js/tiny'), 'utf8'));
const {mermaid} = globalThis;

const fence = /^[ \t]*```mermaid[ \t]*\n([\s\S]*?)^[ \t]*```[ \t]*$/gm;

let diagrams = 0;
for (const page of process.argv.slice(2)) {
  const text = readFileSync(page, 'utf8');
  for (const block of text.matchAll(fence)) {
    diagrams++;
    try {
      await mermaid.parse(block[1]);
    } catch (error) {
      const line = text.slice(0, block.index).split('\n').length;
      console.error(`${page}:${line}: this diagram cannot be parsed: ${error.message}`);
      process.exitCode = 1;
    }
  }
}
console.log(`${diagrams} diagrams`);
await window.happyDOM.close();
