/**
 * AppDirectory: which App IDs this server knows, and the certificates that their tokens are signed with.
 */
export type App = {
  appid: string;
  /** 32 hex characters. Absent when the app asks for no tokens. */
  certificate: string | undefined;
};

export type AppDirectory = { find(appid: string): App | undefined };
