import type { AuditFile, AuditFiles } from '../../../src/features/audit/audit-files.ts';

/** A directory in memory. What is not synced may be lost by `powerLoss`; any call may be made to fail or hang. */
export class MemoryFiles implements AuditFiles {
  readonly files = new Map<string, { bytes: Buffer; synced: number }>();
  fault: ((operation: 'create' | 'write' | 'sync') => Promise<void> | undefined) | undefined;

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  async create(name: string): Promise<AuditFile> {
    await this.fault?.('create');
    const file = { bytes: Buffer.alloc(0), synced: 0 };
    this.files.set(name, file);
    return {
      write: async (bytes) => {
        await this.fault?.('write');
        file.bytes = Buffer.concat([file.bytes, bytes]);
      },
      sync: async () => {
        await this.fault?.('sync');
        file.synced = file.bytes.length;
      },
      close: () => Promise.resolve(),
    };
  }

  list() {
    const names = [...this.files.keys()].sort();
    return Promise.resolve(names.map((name) => ({ name, bytes: this.files.get(name)!.bytes.length })));
  }

  read(name: string): Promise<Buffer> {
    return Promise.resolve(this.files.get(name)!.bytes);
  }

  remove(name: string): Promise<void> {
    this.files.delete(name);
    return Promise.resolve();
  }

  powerLoss(): void {
    for (const file of this.files.values()) file.bytes = file.bytes.subarray(0, file.synced);
  }
}
