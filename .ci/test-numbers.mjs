// Prints "passed failed skipped" of a vitest run: node test-numbers.mjs <json report> <exit status>
import { readFileSync } from 'node:fs';

const [, , file = '', status = '1'] = process.argv;
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  const report = JSON.parse(readFileSync(file, 'utf8'));
  passed = report.numPassedTests;
  failed = report.numFailedTests;
  skipped = report.numPendingTests + report.numTodoTests;
} catch {
  // No report: the run itself failed, which the exit status tells.
}
// A file that can't be loaded, or an error outside of all tests, fails the run without failing a test.
if (status !== '0' && failed === 0) failed = 1;
console.log(passed, failed, skipped);
