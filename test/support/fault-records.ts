/**
 * How many records a fault test sends: few where it runs with all the others, many with `npm run test:faults`
 * (FAULT_RECORDS).
 */
export function faultRecords(few: number): number {
  return Number(process.env.FAULT_RECORDS ?? few);
}
