// stub
export interface RouteSocket {
  close(): void;
}
