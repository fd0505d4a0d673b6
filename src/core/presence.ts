/** An MQTT connection that a device has made. */
export interface DeviceConnection {
  /** Its client id. */
  readonly deviceId: string;
  /** The name of the listener, e.g. `tcp 127.0.0.1:1883`. */
  readonly listener: string;
  /** Where the device is, e.g. `192.0.2.7:49152`. */
  readonly remote: string;
  /** `3.1` or `3.1.1`. */
  readonly protocolVersion: string;
  /** Seconds; 0: none. */
  readonly keepAliveSeconds: number;
  readonly cleanSession: boolean;
  /** A session was kept from before. */
  readonly sessionPresent: boolean;
}

/** Who wants to know which devices are here. Called at once, in order for each device; must not throw. */
export interface PresenceObserver {
  connected(connection: DeviceConnection): void;
  /** `reason`: stable word, e.g. `keepalive-timeout`; `willSent`: the device's will was published. */
  disconnected(connection: DeviceConnection, reason: string, willSent: boolean): void;
}
