import Foundation
import MeteredRealtimeFFI
import Testing

@testable import MeteredRealtime

#if canImport(CoreMedia)
    import CoreMedia
#endif

/// The part for Apple's systems, without Apple: its bitstreams, and its calls against stand-ins.
@Suite struct AppleTests {
    private let sps = Data([0x67, 1, 0, 2])
    private let pps = Data([0x68, 3])
    private let idr = Data([0x65, 4, 5])

    private var annexB: Data {
        Data([0, 0, 0, 1]) + sps + Data([0, 0, 1]) + pps + Data([0, 0, 0, 1]) + idr
    }

    @Test func annexBIsTakenApart() {
        #expect(H264.units(inAnnexB: annexB) == [sps, pps, idr])
        #expect(H264.units(inAnnexB: Data([1, 2])).isEmpty)
        #expect(H264.units(inAnnexB: Data([0, 0, 1])).isEmpty)
        #expect(H264.units(inAnnexB: Data([0, 0, 1, 0, 0, 0, 1, 9, 0, 0])) == [Data([9])])
        let (sets, units) = H264.parts(ofAnnexB: annexB)
        #expect(sets == [sps, pps])
        #expect(units == Data([0, 0, 0, 3]) + idr)
    }

    @Test func samplesChangeTheirOrder() {
        let pcm: [Int16] = [1, 2, 3, 4, 5, 6]
        let (left, right) = (PCM.plane(0, of: pcm, channels: 2), PCM.plane(1, of: pcm, channels: 2))
        #expect([left, right] == [[1, 3, 5], [2, 4, 6]])
        left.withUnsafeBufferPointer { left in
            right.withUnsafeBufferPointer { right in #expect(PCM.interleaved([left, right]) == pcm) }
        }
    }

    #if canImport(CoreMedia)
        private func code(of call: () throws -> Void) -> String? {
            do { try call() } catch { return (error as? MeteredError)?.code }
            return nil
        }

        @Test func aPictureBecomesASampleBufferAndIsTakenBack() throws {
            let buffers = SampleBuffers()
            func picture(_ data: Data, _ codec: MeteredRealtimeFFI.VideoCodec = .h264) -> MeteredRealtime.AccessUnit {
                MeteredRealtime.AccessUnit(
                    MeteredRealtimeFFI.AccessUnit(
                        codec: codec, data: data, timestampUs: 40_000, keyFrame: data.count > 5, rotationDegrees: 0))
            }
            let (key, delta) = (picture(annexB), picture(Data([0, 0, 1, 0x41, 7])))
            #expect(try buffers.sampleBuffer(for: delta) == nil)
            let track = try MeteredRealtime.LocalVideoTrack(.h264)
            for unit in [key, delta] {
                guard let sample = try buffers.sampleBuffer(for: unit) else { throw Missing(description: "a sample") }
                try track.write(sample)
            }
            let vp8 = try MeteredRealtime.LocalVideoTrack(.vp8)
            guard let h264 = try buffers.sampleBuffer(for: key), let block = CMSampleBufferGetDataBuffer(h264) else {
                throw Missing(description: "a sample")
            }
            #expect(code(of: { try vp8.write(h264) }) == "other_codec")
            var (hevc, sample) = (CMFormatDescription?.none, CMSampleBuffer?.none)
            _ = CMVideoFormatDescriptionCreate(
                allocator: nil, codecType: kCMVideoCodecType_HEVC, width: 2, height: 2, extensions: nil,
                formatDescriptionOut: &hevc)
            _ = CMSampleBufferCreateReady(
                allocator: nil, dataBuffer: block, formatDescription: hevc, sampleCount: 1,
                sampleTimingEntryCount: 0, sampleTimingArray: nil, sampleSizeEntryCount: 0, sampleSizeArray: nil,
                sampleBufferOut: &sample)
            let other = try #require(sample)
            #expect(code(of: { try track.write(other) }) == "other_codec")
            #expect(throws: MeteredError.self) { _ = try buffers.sampleBuffer(for: picture(Data([0]), .vp8)) }
        }
    #endif
}

#if canImport(AVFAudio)
    import AVFAudio

    @Suite struct AppleSoundTests {
        @Test(arguments: [(AVAudioCommonFormat.pcmFormatFloat32, false), (.pcmFormatInt16, true)])
        func aBufferIsWrittenAndFilled(_ kind: AVAudioCommonFormat, interleaved: Bool) throws {
            guard
                let format = AVAudioFormat(
                    commonFormat: kind, sampleRate: 48_000, channels: 2, interleaved: interleaved),
                let buffer = AVAudioPCMBuffer(pcmFormat: format, frameCapacity: 480)
            else { throw Missing(description: "a buffer") }
            let mix = try MeteredRealtime.AudioMix(PCMFormat(sampleRate: 48_000, channels: 2))
            try mix.pull(into: buffer)
            #expect(buffer.frameLength == 480)
            let track = try MeteredRealtime.LocalAudioTrack()
            try track.write(buffer)
            let mono = try MeteredRealtime.AudioMix(PCMFormat(sampleRate: 48_000, channels: 1))
            #expect(throws: MeteredError.self) { try mono.pull(into: buffer) }
        }
    }
#endif
