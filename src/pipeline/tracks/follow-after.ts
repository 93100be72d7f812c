/**
 * A run that follows another one, on another node, takes so much before it records: then the places of what comes have
 * settled, because 10 s of delays count, and what they say is approached slowly (ADR 0037).
 */
export const FOLLOW_AFTER_US = 16_000_000;
