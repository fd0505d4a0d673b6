/** The message types of Sparkplug (Eclipse Sparkplug 3.0.0, section 4.1). */
export type SparkplugKind =
  'NBIRTH' | 'NDEATH' | 'NDATA' | 'NCMD' | 'DBIRTH' | 'DDEATH' | 'DDATA' | 'DCMD' | 'STATE';

/** `spBv1.0/<group>/<type>/<edge node>[/<device>]`, or `spBv1.0/STATE/<host>`. */
export interface SparkplugTopic {
  readonly kind: SparkplugKind;
  /** Empty for STATE. */
  readonly group: string;
  /** Empty for STATE. */
  readonly node: string;
  /** Empty for the edge node's own messages. */
  readonly device: string;
  /** Who it is about: `<edge node>`, `<edge node>/<device>`, or the host. */
  readonly source: string;
}

const NODE_KINDS: readonly string[] = ['NBIRTH', 'NDEATH', 'NDATA', 'NCMD'];
const DEVICE_KINDS: readonly string[] = ['DBIRTH', 'DDEATH', 'DDATA', 'DCMD'];

/** undefined: not a topic of Sparkplug B. */
export function parseSparkplugTopic(name: string): SparkplugTopic | undefined {
  const levels = name.split('/');
  // Sparkplug 2.2 has `STATE/<host>` outside of its namespace.
  const state = levels[0] === 'STATE' ? levels : levels[0] === 'spBv1.0' ? levels.slice(1) : [];
  if (state[0] === 'STATE' && state.length === 2 && state[1] !== '') {
    return { kind: 'STATE', group: '', node: '', device: '', source: state[1] as string };
  }
  const [namespace, group = '', kind = '', node = '', device = ''] = levels;
  if (namespace !== 'spBv1.0' || group === '' || node === '') return undefined;
  if (NODE_KINDS.includes(kind) && levels.length === 4) {
    return { kind: kind as SparkplugKind, group, node, device: '', source: node };
  }
  if (DEVICE_KINDS.includes(kind) && levels.length === 5 && device !== '') {
    return { kind: kind as SparkplugKind, group, node, device, source: `${node}/${device}` };
  }
  return undefined;
}
