using Stigmer.Standins;

// What tests put in the place of the world outside, each as a process of its own: stand-ins for Temporal's CLI, for the
// mirror that it is downloaded from, and for model servers.
return args switch
{
    ["temporal", .. var rest] => await TemporalStandin.Run(rest),
    ["archives", .. var rest] => TemporalArchives.Run(rest),
    ["large", .. var rest] => TemporalArchives.RunLarge(rest),
    ["mirror", .. var rest] => await Mirror.Run(rest),
    ["ollama", .. var rest] => await OllamaStandin.Run(rest),
    ["anthropic" or "openai", .. var rest] => await HostedStandin.Run(args[0], rest),
    ["mcp", .. var rest] => await McpStandin.Run(rest),
    _ => Unknown(),
};

static int Unknown()
{
    Console.Error.WriteLine("usage: Stigmer.Standins temporal | archives | large | mirror | ollama | anthropic | openai …");
    return 2;
}
