enum Status {
  UNKNOWN = 0,
  OK = 1,
  FAULT = 2,
}

struct Reading {
  1: string name,
  2: double value,
}

struct Sensor {
  1: string device,
  2: i64 ts,
  3: i32 seq,
  4: i16 rssi,
  5: byte channel,
  6: double temperature,
  7: bool charging,
  8: bool muted,
  20: binary raw,
  21: Status status,
  22: list<Reading> readings,
  23: map<string, i32> counters,
  24: set<i32> ports,
  25: optional string note,
  500: list<bool> flags,
}
