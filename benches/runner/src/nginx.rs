//! A configuration under which nginx keeps the contract, as far as it can without a program.

use crate::{Result, server::cores};
use std::{fs, path::Path};

pub struct Nginx<'a> {
    pub port: u16,
    pub threads: usize,
    pub routes: usize,
    /// What `GET /file` serves; the configuration goes beside it.
    pub file: &'a Path,
}

impl Nginx<'_> {
    /// Writes the configuration; returns the arguments that make nginx use it.
    pub fn arguments(&self) -> Result<Vec<String>> {
        let folder = self.file.with_file_name("nginx");
        fs::create_dir_all(&folder)?;
        let path = folder.join("nginx.conf");
        fs::write(&path, self.configuration(&folder))?;
        let words = ["-p", &folder.to_string_lossy(), "-c", &path.to_string_lossy()];
        Ok(words.map(str::to_owned).into())
    }

    fn configuration(&self, folder: &Path) -> String {
        let Nginx { port, threads, routes, file } = self;
        let (file, folder) = (file.display(), folder.display());
        let routes: String = (0..*routes)
            .map(|n| format!("    location ~ ^/r{n}/(\\d+)$ {{ return 200 $1; }}\n"))
            .collect();
        // Only a listener per worker spreads connections evenly.
        let reuseport = if *threads > 1 { " reuseport" } else { "" };
        let workers = (*threads).min(cores());
        format!(
            "daemon off;
worker_processes {workers};
pid {folder}/pid;
error_log /dev/null;
worker_rlimit_nofile 20000;
events {{ worker_connections 20000; multi_accept on; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  open_file_cache max=16 inactive=60s;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port} backlog=4096{reuseport};
    location = /plaintext {{ return 200 'Hello, World!'; }}
    location = /json {{
      default_type application/json;
      return 200 '{{\"message\":\"Hello, World!\"}}';
    }}
    location = /file {{ default_type application/octet-stream; alias {file}; }}
{routes}    location ~ ^/user/(\\d+)$ {{ return 200 $1; }}
    location / {{ return 501; }}
  }}
}}
"
        )
    }
}
