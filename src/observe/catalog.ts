/**
 * The catalog of metrics: what each is called (https://prometheus.io/docs/practices/naming), of what kind, and what it
 * says. docs/reference/metrics.md is generated from here.
 */

export type MetricAbout = {
  name: string;
  kind: 'gauge' | 'counter' | 'histogram';
  /** One sentence. */
  help: string;
  labels: readonly string[];
  /** It is about single recordings: a customer sees it of the apps that it may use. All others are the operator's. */
  ofApps?: true;
  /** Upper bounds of a histogram, in its unit. */
  buckets?: readonly number[];
};

const START_BUCKETS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
/** A lease ends after 4 s. */
const RENEWAL_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 4];
const OF_RUN = ['sid', 'mode'];

export const CATALOG = {
  recordings: {
    ...{ name: 'aircheck_recordings', kind: 'gauge', labels: ['mode', 'state'], ofApps: true },
    help: 'Recordings that are not over, by mode (mix, individual, web) and state (starting, recording, stopping, uploading).',
  },
  recorderRung: {
    ...{ name: 'aircheck_recorder_rung', kind: 'gauge', labels: OF_RUN, ofApps: true },
    help: 'What is taken from the picture because the machine is too slow, 0 to 6; 0 is nothing.',
  },
  recorderLag: {
    ...{ name: 'aircheck_recorder_lag_seconds', kind: 'gauge', labels: OF_RUN, ofApps: true },
    help: 'How late the recording is made (encode lag).',
  },
  recorderCpu: {
    ...{ name: 'aircheck_recorder_cpu_seconds_total', kind: 'counter', labels: OF_RUN, ofApps: true },
    help: 'CPU time of the recorder, and of the programs of a web page; of a shared process its part.',
  },
  recorderMemory: {
    ...{ name: 'aircheck_recorder_memory_bytes', kind: 'gauge', labels: OF_RUN, ofApps: true },
    help: 'Memory of the recorder, and of the programs of a web page; of a shared process its part.',
  },
  feedBacklog: {
    ...{ name: 'aircheck_feed_backlog_seconds', kind: 'gauge', labels: OF_RUN, ofApps: true },
    help: 'How long the oldest packet of the channel waits that the recorder has not been given yet.',
  },
  starts: {
    ...{ name: 'aircheck_recording_start_duration_seconds', kind: 'histogram', labels: ['mode'] },
    buckets: START_BUCKETS,
    help: 'From the start call to the recorder in its channel, or to the page that is ready.',
  },
  ended: {
    ...{ name: 'aircheck_recordings_ended_total', kind: 'counter', labels: ['mode', 'outcome'] },
    help: 'Recordings that have ended here: outcome ok, or failed where a failure ended one.',
  },
  runsLost: {
    ...{ name: 'aircheck_recorder_runs_lost_total', kind: 'counter', labels: ['mode'] },
    help: 'Runs whose recorder crashed, hung or could not be launched again; another run goes on.',
  },
  degradations: {
    ...{ name: 'aircheck_recording_degradations_total', kind: 'counter', labels: ['mode', 'kind'] },
    help: 'What recordings had to do without: kind rung counts steps down the ladder of a slow machine, damage what was lost or could not be used.',
  },
  publishers: {
    ...{ name: 'aircheck_publishers', kind: 'gauge', labels: [] },
    help: 'Publishers who are connected, or about to be.',
  },
  channels: {
    ...{ name: 'aircheck_channels', kind: 'gauge', labels: [] },
    help: 'Channels with somebody in them.',
  },
  packetsReceived: {
    ...{ name: 'aircheck_rtp_packets_received_total', kind: 'counter', labels: [] },
    help: 'RTP packets of all publishers that came in.',
  },
  packetsLost: {
    ...{ name: 'aircheck_rtp_packets_lost_total', kind: 'counter', labels: [] },
    help: 'RTP packets that were missing and are not asked for any more.',
  },
  packetsRecovered: {
    ...{ name: 'aircheck_rtp_packets_recovered_total', kind: 'counter', labels: [] },
    help: 'RTP packets that were missing, were asked for again, and came.',
  },
  feedKept: {
    ...{ name: 'aircheck_feed_kept_bytes', kind: 'gauge', labels: [] },
    help: 'Memory of the packets that are kept for recorders (keepTotalMb is its bound).',
  },
  feedDropped: {
    ...{ name: 'aircheck_feed_dropped_packets_total', kind: 'counter', labels: [] },
    help: 'Packets that were given up at a bound before a recorder read them.',
  },
  feedsBetweenNodes: {
    ...{ name: 'aircheck_fleet_feeds', kind: 'gauge', labels: ['side'] },
    help: 'Feeds that cross nodes: side home counts those of channels here that recorders on other nodes read, recorder those that are read here. Not outside of a fleet.',
  },
  feedBreaks: {
    ...{ name: 'aircheck_fleet_feed_breaks_total', kind: 'counter', labels: [] },
    help: 'Connections to the homes of channels that are recorded here that broke, and are made again.',
  },
  placed: {
    ...{ name: 'aircheck_recordings_placed_elsewhere_total', kind: 'counter', labels: [] },
    help: 'Recordings of channels here that another node was given at their start, because this one was full.',
  },
  standbyRecordings: {
    ...{ name: 'aircheck_standby_recordings', kind: 'gauge', labels: ['state'] },
    help: 'Recordings here that want a hot standby: state protected has one that has all that the store has not, exposed has none, or one that has just begun. Not outside of a fleet.',
  },
  standbyRecorders: {
    ...{ name: 'aircheck_standby_recorders', kind: 'gauge', labels: [] },
    help: 'Second recorders here of recordings that other nodes have.',
  },
  standbyLag: {
    ...{ name: 'aircheck_standby_lag_slices', kind: 'gauge', labels: [] },
    help: 'Finished slices that a second recorder here must keep because the store has them not, of the one that keeps most; it grows when their owner cannot store.',
  },
  standbyBytes: {
    ...{ name: 'aircheck_standby_bytes', kind: 'gauge', labels: [] },
    help: 'Bytes of the finished slices that second recorders here keep.',
  },
  standbyTakeovers: {
    ...{ name: 'aircheck_standby_takeovers_total', kind: 'counter', labels: ['mode'] },
    help: 'Recordings of lost nodes that went on here with what a second recorder had made.',
  },
  mixes: {
    ...{ name: 'aircheck_mixes', kind: 'gauge', labels: ['state'] },
    help: 'Mixes of recordings of single users that this server is to make: state queued those that wait for their turn, running those that are being made.',
  },
  thumbnails: {
    ...{ name: 'aircheck_thumbnails_total', kind: 'counter', labels: ['outcome'] },
    help: 'Thumbnails that were to be drawn for somebody who looks: outcome drawn, undecodable where the key frame could not be read, refused where too many waited or their process had failed.',
  },
  uploadFiles: {
    ...{ name: 'aircheck_upload_backlog_files', kind: 'gauge', labels: ['place'] },
    help: 'Files of this server’s recordings that wait to be stored: place spool, backup for those in the backup store, away for those on the spool of a node that was gone when this one took over, which brings them when it is back, within a week.',
  },
  uploadBytes: {
    ...{ name: 'aircheck_upload_backlog_bytes', kind: 'gauge', labels: ['place'] },
    help: 'Bytes of the files that wait to be stored.',
  },
  uploadAge: {
    ...{ name: 'aircheck_upload_backlog_oldest_seconds', kind: 'gauge', labels: ['place'] },
    help: 'How long the oldest file waits to be stored; 0 while none does.',
  },
  webhooks: {
    ...{ name: 'aircheck_webhooks_pending', kind: 'gauge', labels: [] },
    help: 'Events that no receiver has taken yet, of all servers on this database.',
  },
  webhookAge: {
    ...{ name: 'aircheck_webhooks_oldest_pending_seconds', kind: 'gauge', labels: [] },
    help: 'Age of the oldest event that no receiver has taken yet, of all servers on this database; 0 while there is none.',
  },
  spoolBytes: {
    ...{ name: 'aircheck_spool_bytes', kind: 'gauge', labels: [] },
    help: 'What the files of recordings take on the spool.',
  },
  spoolFree: {
    ...{ name: 'aircheck_spool_free_bytes', kind: 'gauge', labels: [] },
    help: 'Free space on the disk of the spool.',
  },
  spoolSize: {
    ...{ name: 'aircheck_spool_size_bytes', kind: 'gauge', labels: [] },
    help: 'Size of the disk of the spool.',
  },
  load: {
    ...{ name: 'aircheck_load_ratio', kind: 'gauge', labels: [] },
    help: 'CPU that recorders take, measured and for new ones estimated, as a share of all cores; a start that would bring it over admissionCpuPercent is refused.',
  },
  databaseUp: {
    ...{ name: 'aircheck_database_up', kind: 'gauge', labels: [] },
    help: '1 when the database answered this scrape, else 0, and then what is read from it is left out.',
  },
  renewals: {
    ...{ name: 'aircheck_lease_renewal_duration_seconds', kind: 'histogram', labels: [] },
    buckets: RENEWAL_BUCKETS,
    help: 'How long each renewal of the lease took that worked; the lease ends 4 s after the last.',
  },
  renewalFailures: {
    ...{ name: 'aircheck_lease_renewal_failures_total', kind: 'counter', labels: [] },
    help: 'Renewals of the lease that failed.',
  },
  build: {
    ...{ name: 'aircheck_build_info', kind: 'gauge', labels: ['version', 'node'] },
    help: 'Always 1; its labels are the version of the server and of Node.',
  },
  cpu: {
    ...{ name: 'process_cpu_seconds_total', kind: 'counter', labels: [] },
    help: 'CPU time of the server process, user and system; recorders have their own.',
  },
  memory: {
    ...{ name: 'process_resident_memory_bytes', kind: 'gauge', labels: [] },
    help: 'Resident memory of the server process.',
  },
  heap: {
    ...{ name: 'nodejs_heap_size_used_bytes', kind: 'gauge', labels: [] },
    help: 'What objects of JavaScript take of it.',
  },
  started: {
    ...{ name: 'process_start_time_seconds', kind: 'gauge', labels: [] },
    help: 'When the server process began, Unix time.',
  },
  loopP99: {
    ...{ name: 'nodejs_eventloop_lag_p99_seconds', kind: 'gauge', labels: [] },
    help: 'How late timers were since the last scrape: 99 of 100 were earlier.',
  },
  loopMax: {
    ...{ name: 'nodejs_eventloop_lag_max_seconds', kind: 'gauge', labels: [] },
    help: 'How late the latest timer was since the last scrape.',
  },
} as const satisfies Record<string, MetricAbout>;

export type MetricKey = keyof typeof CATALOG;
