namespace Stigmer.Config;

/// <summary>The config.yaml that <c>config init</c> writes: everything that can be said, as comments that show the defaults.</summary>
static class ConfigTemplate
{
    public const string Text = """
        # Stigmer's configuration. Each line that begins with # shows a default; take the # away and change it.
        # Environment variables come before this file. `stigmer config show` prints what is in force, and by what;
        # `stigmer config validate` checks this file; `stigmer local restart` puts it in force. No secret belongs here.
        backend:
          # type: local                    # local, or cloud: a stigmer-server elsewhere
          local:
            # endpoint: localhost:50051    # this machine alone; port 0: a free one
            # data_dir: ~/.stigmer/data
            llm:
              # provider: ollama           # ollama, anthropic, openai or demo
              # model: qwen2.5-coder:7b    # default: the provider's
              # base_url: http://localhost:11434
              # max_tokens: 8192           # the most that one answer may have
              # temperature: 0.0           # default: 0.0 for Ollama, else not sent
              # context_window: 32768      # Ollama's num_ctx
            temporal:
              # managed: true              # false: somebody else's, at address
              # embedded: false            # true: the engine inside stigmer-server, nothing to download
              # version: 1.8.2             # of Temporal's CLI
              # port: 7233
              # ui: false                  # Temporal's web UI, on this machine alone
              # ui_port: 8233
              # address: localhost:7233    # an address makes it somebody else's
              # namespace: default
              # api_key_file: ~/temporal.key
              tls:
                # enabled: true
                # ca_file: ~/ca.pem
                # cert_file: ~/client.pem
                # key_file: ~/client.key
                # server_name: temporal.example.com
          cloud:
            # endpoint: stigmer.example.com:443
            # ca_file: ~/ca.pem

        """;
}
