using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;

namespace Stigmer.Processes;

/// <summary>
/// Starting and ending by CreateProcess and a job object on Windows. A child is created suspended and put into its job before
/// it runs, so that nothing it starts escapes; the job kills what is left in it when its last handle is closed, which happens
/// when we die.
/// </summary>
[SupportedOSPlatform("windows")]
sealed unsafe partial class WindowsProcess
{
    readonly nint process;
    readonly nint job;

    WindowsProcess(nint process, nint job, int pid)
    {
        this.process = process;
        this.job = job;
        Pid = pid;
    }

    /// <summary>The process id.</summary>
    public int Pid { get; }

    /// <summary>Starts the process. The handles are those ends of pipes that are the child's, and inheritable; -1 for none.</summary>
    public static WindowsProcess Start(ChildSpec spec, nint input, nint output, nint error, nint notify)
    {
        var nothing = input >= 0 ? 0 : OpenNul();
        try
        {
            var standardInput = input >= 0 ? input : nothing;
            var standardOutput = spec.OutputFile?.DangerousGetHandle() ?? output;
            if (spec.OutputFile is not null) _ = SetHandleInformation(standardOutput, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
            var standardError = error >= 0 ? error : standardOutput;
            var inherited = new HashSet<nint> { standardInput, standardOutput, standardError };
            if (notify >= 0) inherited.Add(notify);
            return Create(spec, standardInput, standardOutput, standardError, notify, [.. inherited]);
        }
        finally
        {
            if (nothing != 0) _ = CloseHandle(nothing);
        }
    }

    /// <summary>Blocks until the process has ended, and ends what is left of its job.</summary>
    public ExitStatus Wait()
    {
        const uint INFINITE = 0xffffffff;
        _ = WaitForSingleObject(process, INFINITE);
        if (GetExitCodeProcess(process, out var code) == 0) code = 0;
        Kill();
        return new ExitStatus((int)code, null);
    }

    /// <summary>Ends all processes of the job.</summary>
    public void Kill()
    {
        if (job != 0) _ = TerminateJobObject(job, 1);
        else _ = TerminateProcess(process, 1);
    }

    static WindowsProcess Create(ChildSpec spec, nint input, nint output, nint error, nint notify, nint[] inherited)
    {
        // What starts the daemon leaves, and the daemon stays: it must be in no job of ours.
        var job = spec.OwnSession ? 0 : CreateKillingJob();
        nuint size = 0;
        _ = InitializeProcThreadAttributeList(0, 1, 0, &size);
        var attributes = Marshal.AllocHGlobal((nint)size);
        try
        {
            Check(InitializeProcThreadAttributeList(attributes, 1, 0, &size));
            fixed (nint* handles = inherited)
            {
                const nuint PROC_THREAD_ATTRIBUTE_HANDLE_LIST = 0x00020002;
                Check(UpdateProcThreadAttribute(attributes, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles, (nuint)(inherited.Length * sizeof(nint)), 0, 0));
                var startup = new StartupInfoEx
                {
                    Size = (uint)sizeof(StartupInfoEx),
                    Flags = STARTF_USESTDHANDLES,
                    Input = input,
                    Output = output,
                    Error = error,
                    Attributes = attributes,
                };
                // DETACHED_PROCESS: a new process group alone still dies with the console (microsoft/aspire#16559).
                var flags = CREATE_SUSPENDED | EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT | CREATE_NEW_PROCESS_GROUP
                    | (spec.OwnSession ? DETACHED_PROCESS : CREATE_NO_WINDOW);
                ProcessInformation created;
                fixed (char* path = spec.Path)
                fixed (char* commandLine = CommandLine(spec))
                fixed (char* environment = EnvironmentBlock(spec, notify))
                fixed (char* directory = spec.WorkingDirectory)
                {
                    Check(CreateProcessW(path, commandLine, 0, 0, 1, flags, environment, directory, &startup, &created));
                }
                if (job != 0 && AssignProcessToJobObject(job, created.Process) == 0)
                {
                    var why = new Win32Exception();
                    _ = TerminateProcess(created.Process, 1);
                    throw why;
                }
                _ = ResumeThread(created.Thread);
                _ = CloseHandle(created.Thread);
                return new WindowsProcess(created.Process, job, (int)created.ProcessId);
            }
        }
        finally
        {
            DeleteProcThreadAttributeList(attributes);
            Marshal.FreeHGlobal(attributes);
        }
    }

    static nint CreateKillingJob()
    {
        var job = CreateJobObjectW(0, 0);
        if (job == 0) throw new Win32Exception();
        var limits = new ExtendedLimits { LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE };
        const int JobObjectExtendedLimitInformation = 9;
        Check(SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, (uint)sizeof(ExtendedLimits)));
        return job;
    }

    static nint OpenNul()
    {
        var security = new SecurityAttributes { Length = (uint)sizeof(SecurityAttributes), Inherit = 1 };
        const uint GENERIC_READ = 0x80000000, FILE_SHARE_READ_WRITE = 3, OPEN_EXISTING = 3;
        fixed (char* name = "NUL")
        {
            var handle = CreateFileW(name, GENERIC_READ, FILE_SHARE_READ_WRITE, &security, OPEN_EXISTING, 0, 0);
            return handle == -1 ? throw new Win32Exception() : handle;
        }
    }

    /// <summary>Quotes as CommandLineToArgvW reads: backslashes count double only before a quotation mark.</summary>
    static string CommandLine(ChildSpec spec)
    {
        var line = new StringBuilder();
        foreach (var argument in (IEnumerable<string>)[spec.Path, .. spec.Arguments])
        {
            if (line.Length > 0) line.Append(' ');
            if (argument.Length > 0 && argument.AsSpan().IndexOfAny(" \t\n\v\"") < 0)
            {
                line.Append(argument);
                continue;
            }
            line.Append('"');
            var backslashes = 0;
            foreach (var c in argument)
            {
                if (c == '\\')
                {
                    backslashes++;
                    continue;
                }
                line.Append('\\', c == '"' ? backslashes * 2 + 1 : backslashes).Append(c);
                backslashes = 0;
            }
            line.Append('\\', backslashes * 2).Append('"');
        }
        return line.Append('\0').ToString();
    }

    static string EnvironmentBlock(ChildSpec spec, nint notify)
    {
        // Windows wants the block sorted, without regard to case.
        var all = new SortedDictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, value) in spec.Environment) all[name] = value;
        if (notify >= 0) all[Notify.Variable] = notify.ToString(System.Globalization.CultureInfo.InvariantCulture);
        var block = new StringBuilder();
        foreach (var (name, value) in all) block.Append(name).Append('=').Append(value).Append('\0');
        return block.Append('\0').ToString();
    }

    static void Check(int succeeded)
    {
        if (succeeded == 0) throw new Win32Exception();
    }

    const uint CREATE_SUSPENDED = 0x4, DETACHED_PROCESS = 0x8, CREATE_NEW_PROCESS_GROUP = 0x200, CREATE_UNICODE_ENVIRONMENT = 0x400;
    const uint EXTENDED_STARTUPINFO_PRESENT = 0x80000, CREATE_NO_WINDOW = 0x08000000, STARTF_USESTDHANDLES = 0x100, HANDLE_FLAG_INHERIT = 1;
    const uint JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE = 0x2000;

    /// <summary>STARTUPINFOEXW.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct StartupInfoEx
    {
        public uint Size;
        public nint Reserved, Desktop, Title;
        public uint X, Y, Width, Height, Columns, Rows, Fill, Flags;
        public ushort ShowWindow, ReservedSize;
        public nint ReservedBytes, Input, Output, Error, Attributes;
    }

    /// <summary>PROCESS_INFORMATION.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct ProcessInformation
    {
        public nint Process, Thread;
        public uint ProcessId, ThreadId;
    }

    /// <summary>SECURITY_ATTRIBUTES.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct SecurityAttributes
    {
        public uint Length;
        public nint Descriptor;
        public int Inherit;
    }

    /// <summary>JOBOBJECT_EXTENDED_LIMIT_INFORMATION.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct ExtendedLimits
    {
        public long ProcessTime, JobTime;
        public uint LimitFlags;
        public nuint MinimumWorkingSet, MaximumWorkingSet;
        public uint ActiveProcesses;
        public nuint Affinity;
        public uint Priority, Scheduling;
        public ulong ReadOperations, WriteOperations, OtherOperations, ReadBytes, WriteBytes, OtherBytes;
        public nuint ProcessMemory, JobMemory, PeakProcessMemory, PeakJobMemory;
    }

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int CreateProcessW(
        char* application, char* commandLine, nint processAttributes, nint threadAttributes, int inheritHandles, uint flags, char* environment,
        char* directory, StartupInfoEx* startup, ProcessInformation* created);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int InitializeProcThreadAttributeList(nint list, int count, uint flags, nuint* size);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int UpdateProcThreadAttribute(nint list, uint flags, nuint attribute, void* value, nuint size, nint previous, nint returned);

    [LibraryImport("kernel32")]
    private static partial void DeleteProcThreadAttributeList(nint list);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial nint CreateJobObjectW(nint security, nint name);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int SetInformationJobObject(nint job, int kind, void* information, uint size);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int AssignProcessToJobObject(nint job, nint process);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int TerminateJobObject(nint job, uint code);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int TerminateProcess(nint process, uint code);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial uint ResumeThread(nint thread);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial uint WaitForSingleObject(nint handle, uint milliseconds);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int GetExitCodeProcess(nint process, out uint code);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial int SetHandleInformation(nint handle, uint mask, uint flags);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial nint CreateFileW(char* name, uint access, uint share, SecurityAttributes* security, uint disposition, uint flags, nint template);

    [LibraryImport("kernel32")]
    private static partial int CloseHandle(nint handle);
}
