"""The service room: job specs over HTTP to leased jobs, their events, and what lies in their folders."""
